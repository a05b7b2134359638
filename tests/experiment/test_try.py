def test_a(run):
    import time
    for o in ([], [], ["logger=none","test=none","callbacks=none"], ["callbacks.predictions=null"]):
        t=time.time()
        r = run(*o)
        print(time.time()-t, r.exit_code, r.directories)
        print(r.stdout, r.stderr)
    assert 0
