#!/usr/bin/env bash
# All benchmarks on a GPU, with bf16: one command. Not tried on a GPU yet; what it prints is what docs/speed.md lacks.
#
#     benchmarks/gpu.sh [FOLDER]      results go there; speed-gpu by default
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-speed-gpu}
mkdir -p "$out"
python -c 'import torch; assert torch.cuda.is_available(), "there is no GPU here"; print(torch.__version__, torch.cuda.get_device_name())' | tee "$out/machine.txt"
for composition in prithvi resnet; do
  python benchmarks/step.py --device cuda --composition "$composition" --batch 32 | tee "$out/step-$composition.txt"
  python benchmarks/step.py --device cuda --composition "$composition" --batch 32 --bf16 | tee "$out/step-$composition-bf16.txt"
done
python benchmarks/start.py | tee "$out/start.txt"
for name in study loader scene; do
  if [ -f "benchmarks/$name.py" ]; then python "benchmarks/$name.py" | tee "$out/$name.txt"; fi
done
