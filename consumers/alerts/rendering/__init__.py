"""The texts of a message: email, SMS and the copy for programs."""
