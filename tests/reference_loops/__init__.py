"""Good hand-written training loops of the Fashion-MNIST perceptron, one per framework.

The engines are measured against them (``python -m tests.reference_loops``): an abstraction that
costs speed is a defect. Each module has ``prepare(images, labels, params) -> run``: ``images``
(steps, batch, 784), ``labels`` (steps, batch), ``params`` the initial parameters by canonical name;
``run()`` trains one pass over the steps and returns when the work is done.
"""
