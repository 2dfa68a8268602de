"""The command line: parse arguments, run a command, write its report, return the exit code.

Input: argv. Output: a `lossctl.report.Report`, written to stdout or a file, notes on stderr, and an exit code.
No other package imports typer.

Reading order: app.py (`main`, errors and exit codes); options.py (options shared by commands); commands/compute.py,
then the other commands, one file each; loss_arguments.py and open_dataset.py (arguments to losses and a data set);
output.py (writing); completion/ (shell completion).
"""
