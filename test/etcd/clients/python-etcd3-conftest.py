# The suite is older than a check of hypothesis, which refuses its fixtures. It lies beside the suite, which stays as
# it is.

from hypothesis import HealthCheck, settings

settings.register_profile("older", suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
settings.load_profile("older")
