# The reproduction as a DAG: data -> runs -> tables, figures -> report. What is run stands in config/.
import sys

from snakemake.utils import min_version

min_version("9.13")
sys.path.insert(0, workflow.basedir)


configfile: "config/config.yaml"


report: "reports/captions/workflow.rst"


include: "workflow/rules/storage.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/site.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/report.md",
        f"{RESULTS}/claims.md",
        # By name, for a report that `softshare report` made before all runs were complete would do without them.
        files_of(plan.experiments, "metrics.json"),
        beton_files(),
