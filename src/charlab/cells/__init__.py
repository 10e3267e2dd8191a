"""Recurrent cells. `CELLS` is the table of all of them; importing it imports no torch.

A new cell is one class (`charlab.cells.base` says what it needs), one row here, one file in
`conf/model/`, and one row in the conformance table of the tests.
"""

# name in the configuration -> module and class
CELLS: dict[str, tuple[str, str]] = {
    "rnn": ("charlab.cells.builtin", "BuiltinRNN"),
    "gru": ("charlab.cells.builtin", "BuiltinGRU"),
    "lstm": ("charlab.cells.builtin", "BuiltinLSTM"),
    "custom_rnn": ("charlab.cells.custom_rnn", "CustomRNN"),
    "custom_gru": ("charlab.cells.custom_gru", "CustomGRU"),
    "custom_lstm": ("charlab.cells.custom_lstm", "CustomLSTM"),
    "mlstm": ("charlab.cells.mlstm", "MLSTM"),
}
