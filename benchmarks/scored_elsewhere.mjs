// Pictures scored by a bundle in Node; a part of bench_stacked_bundle.py.
//
//     node scored_elsewhere.mjs BUNDLE PIXELS ROUNDS
//
// PIXELS are the bytes of the decoded pictures, one after the other. The last line is a JSON object: labels,
// probabilities, seconds.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-node";

const [folder, file, rounds] = process.argv.slice(2);
const BLOCK = 1024, SINGLES = 500;
const signature = JSON.parse(readFileSync(join(folder, "signature.json"), "utf8"));
const [input] = signature.inputs;
const pixels = new Uint8Array(readFileSync(file));
const size = input.shape.reduce((product, axis) => product * axis, 1);

let started = performance.now();
const session = await ort.InferenceSession.create(join(folder, "model.onnx"));
const load = (performance.now() - started) / 1000;
const single = await ort.InferenceSession.create(join(folder, "model.onnx"), { intraOpNumThreads: 1 });

async function score(runner, first, last) {
  const rows = new ort.Tensor("uint8", pixels.slice(first * size, last * size), [last - first, ...input.shape]);
  return runner.run({ [input.tensor]: rows });
}
function tensorOf(found, name) {
  return found[signature.outputs.find((output) => output.name === name).tensor];
}

const count = pixels.length / size, singles = [], batches = [];
for (let row = 0; row < Math.min(SINGLES, count); row++) {
  started = performance.now();
  await score(single, row, row + 1);
  singles.push(performance.now() - started);
}
let labels, probability;
for (let round = 0; round < Number(rounds); round++) {
  [labels, probability] = [[], []];
  started = performance.now();
  for (let first = 0; first < count; first += BLOCK) {
    const found = await score(session, first, Math.min(first + BLOCK, count));
    labels.push(...tensorOf(found, "predictedLabel").data);
    const numbers = tensorOf(found, "probability"), width = numbers.dims[1];
    for (let row = 0; row < numbers.dims[0]; row++) {
      probability.push(Array.from(numbers.data.slice(row * width, (row + 1) * width)));
    }
  }
  batches.push((performance.now() - started) / 1000);
}
console.log(JSON.stringify({ labels, probability, load, batches, singles }));
