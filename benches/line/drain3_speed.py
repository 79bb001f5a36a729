"""Prints how many lines a second drain3 groups, with masks; and grouping accuracy by file where CSVs are given.

    python drain3_speed.py LINES [LABELLED.csv ...]
"""
import csv
import logging
import sys
import time
from collections import Counter

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

logging.disable(logging.CRITICAL)


def miner():
    config = TemplateMinerConfig()
    config.profiling_enabled = False
    config.masking_instructions = [
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,})((?=[^A-Za-z0-9])|$)", "SEQ"),
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
        MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    ]
    return TemplateMiner(config=config)


def accuracy(file):
    rows = list(csv.DictReader(open(file, newline="")))
    own = miner()
    groups = [own.add_log_message(row["Content"].replace("\n", " | "))["cluster_id"] for row in rows]
    labels = [row["EventId"] for row in rows]
    both, of_label, of_group = Counter(zip(labels, groups)), Counter(labels), Counter(groups)
    return sum(n for (label, group), n in both.items() if of_label[label] == n == of_group[group]) / len(rows)


lines = open(sys.argv[1]).read().split("\n")
own = miner()
start = time.process_time()
for line in lines:
    own.add_log_message(line)
print(f"{len(lines) / (time.process_time() - start):.0f} a second of CPU")
if sys.argv[2:]:
    each = [accuracy(file) for file in sys.argv[2:]]
    print(f"mean grouping accuracy {sum(each) / len(each):.3f} over {len(each)} files")
