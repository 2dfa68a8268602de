"""What a loss is: its inputs, their domains, its parameters, and the registry of all losses.

Takes: a function under ``@loss``, or the text of a loss such as ``"huber:delta=0.5"``.
Gives: a ``Loss``, which evaluates arrays; its ``Domain`` checks them.

Read in this order: ``interval``, ``input_kinds``, ``parameters``, ``signature``, ``domain``, ``loss``, ``decorator``,
``registry``. Core imports no file reader, no thread and no loss: the registry finds ``lossctl.losses`` by name.
"""

from lossctl.core import registry as registry  # it registers how a Loss is pickled
