"""The settings of torch.compile that the graphs of cells depend on. A failure names what changed."""

import torch

from rnnexp.compat.torch_compile import many_compilations


def test_a_function_is_compiled_for_many_kinds_of_arguments() -> None:
    compiled: list[int] = []

    def count(module: torch.fx.GraphModule, example_inputs: list[torch.Tensor]) -> object:
        compiled.append(len(example_inputs))
        return module.forward

    def multiply(x: torch.Tensor, number: int) -> torch.Tensor:
        return x * number

    multiplied = torch.compile(multiply, dynamic=False, fullgraph=True, backend=count)
    with many_compilations():
        for number in range(12):
            multiplied(torch.ones(2), number)
    assert len(compiled) == 12, "torch.compile has another limit"
