"""What tests share: problems and comparisons, calls, fresh interpreters, arithmetic modes."""
