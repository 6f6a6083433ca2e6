"""What tests share: fakes of the doors, and the ground for tests on a real container engine."""
