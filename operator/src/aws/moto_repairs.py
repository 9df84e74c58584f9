"""Two repairs of moto 5.2.1, loaded by Python itself (`sitecustomize`) before moto starts.

* A signature covers the address as it was sent. moto checks it against one in
  which `%2F` has become `/`, and so refuses every listing below a folder.
* Creating a bucket that another account has is refused with
  BucketAlreadyExists; with accounts kept apart, moto says AccessDenied.
"""

from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.s3.exceptions import BucketAlreadyExists, BucketError
from moto.s3.models import S3Backend, s3_backends


class BucketOfSomebodyElse(BucketError):
    """Not moto's own exception, which moto catches to look into the bucket."""

    code = BucketAlreadyExists.code

    def __init__(self, bucket: str) -> None:
        super().__init__("The requested bucket name is not available.")
        self.bucket_name = bucket


def _check_signatures_of_addresses_as_sent() -> None:
    original = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def check(self: Any, request_class: type, resource: str = "*") -> None:
        environment = getattr(getattr(self, "request", None), "environ", {})
        sent, parsed = environment.get("RAW_URI", ""), self.uri
        if sent.startswith("/"):
            self.uri = f"http://moto{sent}"
        try:
            original(self, request_class, resource)
        finally:
            self.uri = parsed

    ActionAuthenticatorMixin._authenticate_and_authorize_action = check


def _refuse_names_of_other_accounts() -> None:
    original = S3Backend.create_bucket

    def create_bucket(self: S3Backend, bucket_name: str, *args: Any, **kwargs: Any) -> Any:
        _, owner = s3_backends.bucket_accounts.get(bucket_name, (None, None))
        if owner not in (None, self.account_id):
            raise BucketOfSomebodyElse(bucket_name)
        return original(self, bucket_name, *args, **kwargs)

    S3Backend.create_bucket = create_bucket


_check_signatures_of_addresses_as_sent()
_refuse_names_of_other_accounts()
