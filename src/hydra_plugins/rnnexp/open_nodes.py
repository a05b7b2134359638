"""A config node whose keys are not known in advance, so that `model.cell_options.x=1` needs no plus sign.

Hydra raises an error for keys that no config file has. Only the cell declares its options, which may come from a module
of the user, and it raises an error for unknown ones. Hydra imports this module with its plugins.
"""

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

_node = OmegaConf.create({})
OmegaConf.set_struct(_node, value=False)
ConfigStore.instance().store(name="any_keys", node=_node, provider="rnnexp")
