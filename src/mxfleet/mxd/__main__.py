"""`python -m mxfleet.mxd` is `mxd`."""

import sys

from mxfleet.mxd.command import main

sys.exit(main())
