#!/bin/sh
# Some two hours of one core. Give the folder with MNIST and Fashion-MNIST as PFLBENCH_DATA, if you
# have them: they are downloaded otherwise.
export OMP_NUM_THREADS=1 PFLBENCH_RESULTS=results/studies/fedora
run() { pflbench run --dataset mnist --rounds 100 --seed 0,1 --quiet "$@"; }
all=local,fedavg,fedavg-ft,fedprox,pfedhn,fedora

run --algo $all
run --algo $all --population "permuted-labels(share=0.25)"
run --algo $all --population "foreign(dataset=fashion-mnist, share=0.25)"
run --algo $all --population "groups(minority=0.25)"
for measure in label-distribution mean-covariance gradient random truth; do
    run --algo fedora --set fedora.similarity=$measure
    run --algo fedora --set fedora.similarity=$measure --population "groups(minority=0.25)"
done
run --algo $all --new-clients 0.25
for share in 0.1 0.5 0.9; do
    run --algo $all --participation $share
done
for noise in 0 0.1 1; do
    run --algo fedavg,fedora --privacy "gaussian(clip=1.0, noise=$noise)"
done
