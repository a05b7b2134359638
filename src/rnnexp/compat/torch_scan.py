"""torch's scan over time as one operation, which torch.export and torch.onnx keep for any number of steps.

It is a prototype of torch without a public name. The public torch.while_loop would need indexing by the step, and has
no counterpart among the operators of ONNX that carries outputs of each step.
"""

from torch._higher_order_ops import scan as scan_over_time

__all__ = ["scan_over_time"]
