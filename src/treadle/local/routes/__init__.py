"""APIs of a template: which path leads where (`reading`), what a function is given and gives (`payload`), and the
serving of it (`serving`)."""
