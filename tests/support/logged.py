"""A mixin that keeps what a task logs, for tests without a trainer."""

from collections.abc import Mapping
from typing import Any

import torch


class Logged:
    """Placed before the class of a task: keeps the last value of each name in `logged`."""

    logged: dict[str, float]

    def log(self, name: str, value: Any, **_: Any) -> None:
        self.__dict__.setdefault("logged", {})[name] = float(torch.as_tensor(value).detach())

    def log_dict(self, values: Mapping[str, Any], **_: Any) -> None:
        for name, value in values.items():
            self.log(name, value)
