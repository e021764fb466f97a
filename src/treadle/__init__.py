"""treadle: the Step Functions you own."""
