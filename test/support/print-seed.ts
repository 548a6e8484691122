/** Says which seed the run uses, so that any failure can be replayed. */
export default function printSeed(): void {
  process.stdout.write(`seed: QMESH_TEST_SEED=${process.env['QMESH_TEST_SEED']}\n`)
}
