"""Makes one AWS call and prints its answer as JSON.

    call.py SERVICE OPERATION [JSON PARAMETERS]

    call.py elb describe_load_balancers
    call.py s3 list_objects_v2 '{"Bucket": "images"}'

The names are boto3's. Endpoint, region and keys come from the environment, as
everywhere. It spares people and tests an installation of the AWS command line.
"""

import json
import sys

import boto3


def main(service: str, operation: str, parameters: str = "{}") -> None:
    answer = getattr(boto3.client(service), operation)(**json.loads(parameters))
    answer.pop("ResponseMetadata", None)
    json.dump(answer, sys.stdout, default=str, indent=2)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
