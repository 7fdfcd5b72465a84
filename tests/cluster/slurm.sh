#!/usr/bin/env bash
# Starts and stops Debian's Slurm on this machine alone: one node, loopback only, one GPU that is /dev/null.
#   slurm.sh start DIR     slurm.sh stop DIR     (DIR holds its state and logs)
# It needs root, for munge has a user of its own and Slurm reads /etc/slurm; a configuration of others is left alone.
set -euo pipefail
action=${1:?start or stop}
state=${2:?a folder for state and logs}
conf=/etc/slurm
mark="# softshare: one node for tests"

write_configuration() {
  local host memory
  host=$(hostname -s)
  memory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 1024))
  # More cores than there may be, so that jobs which wait do not hold up the others. Memory is watched by its process
  # tree (there may be no cgroups): a job that takes more than it asked for is killed.
  cat >"$conf/slurm.conf" <<EOC
$mark
ClusterName=softshare
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
StateSaveLocation=$state/state
SlurmdSpoolDir=$state/spool
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_min_interval=0,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
MinJobAge=1200
KillWait=5
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$state/jobs.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=$memory Gres=gpu:fake:1 State=UNKNOWN
PartitionName=long Nodes=$host MaxTime=1-00:00:00 State=UP
PartitionName=short Nodes=$host MaxTime=30 State=UP
EOC
  echo "NodeName=$host Name=gpu Type=fake File=/dev/null" >"$conf/gres.conf"
  echo "CgroupPlugin=cgroup/v1" >"$conf/cgroup.conf"
}

start() {
  if [[ -e $conf/slurm.conf ]] && ! grep -qxF "$mark" "$conf/slurm.conf"; then
    echo "$conf/slurm.conf is of another cluster" >&2
    exit 3
  fi
  mkdir -p "$conf" "$state"/{state,spool}
  write_configuration
  install -d -o munge -g munge -m 0755 /run/munge /var/log/munge /var/lib/munge
  [[ -s /etc/munge/munge.key ]] || head -c 1024 /dev/urandom >/etc/munge/munge.key
  chown munge:munge /etc/munge/munge.key
  chmod 400 /etc/munge/munge.key
  setpriv --reuid=munge --regid=munge --clear-groups /usr/sbin/munged --force
  slurmctld -c
  slurmd -c
  for _ in $(seq 100); do
    if sinfo -h -o %T 2>/dev/null | grep -q idle; then return; fi
    sleep 0.2
  done
  echo "Slurm did not come up" >&2
  tail -n 20 "$state"/slurm*.log >&2
  exit 1
}

stop() {
  scancel --user=root 2>/dev/null || true
  scontrol shutdown 2>/dev/null || true
  for _ in $(seq 50); do
    [[ -e $state/slurmctld.pid || -e $state/slurmd.pid ]] || break
    sleep 0.2
  done
  for pid in "$state/slurmd.pid" "$state/slurmctld.pid" /run/munge/munged.pid; do
    [[ -s $pid ]] && kill "$(cat "$pid")" 2>/dev/null || true
  done
  if grep -qxF "$mark" "$conf/slurm.conf" 2>/dev/null; then
    rm -f "$conf"/{slurm,gres,cgroup}.conf
  fi
}

"$action"
