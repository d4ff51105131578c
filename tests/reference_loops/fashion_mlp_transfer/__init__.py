"""The Fashion-MNIST perceptron whose hidden layer is frozen."""
