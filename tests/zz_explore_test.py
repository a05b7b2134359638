import sys, time
import pytest
CASES = [l for l in open("/tmp/explore/cases.txt").read().splitlines() if l.strip()]
@pytest.mark.parametrize("case", CASES)
def test_case(run, case, tiny_root):
    t=time.time()
    r = run(*case.replace("ROOT", str(tiny_root)).split())
    out = r.stderr.strip().splitlines()
    st = r.status if len(r.directories)==1 else r.directories
    print(f"\n### {case}\n  -> exit {r.exit_code} {st} {time.time()-t:.1f}s; {len(out)} lines: {' | '.join(out[-3:])[:600]}", file=sys.__stderr__)
