#!/bin/sh
# What both images hold: the project at the versions of envs/constraints.txt, and FFCV with its libraries. Run in the
# project's folder, as root, on Debian 12.
set -eu
apt-get update -qq
apt-get install -y -qq --no-install-recommends g++ gcc git libc6-dev libgl1 libglib2.0-0 libopencv-dev \
  libturbojpeg0-dev pkg-config
rm -rf /var/lib/apt/lists/*
python -m pip install --no-cache-dir --constraint envs/constraints.txt torch torchvision
python -m pip install --no-cache-dir --constraint envs/constraints.txt '.[ffcv,kubernetes,slurm]'
