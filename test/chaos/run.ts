import { parseArgs } from 'node:util'
import { holdings, Ledger } from './holdings.ts'
import { ChaosMesh } from './mesh.ts'
import { planRound } from './plan.ts'
import { playRound, spent, type RoundReport } from './round.ts'
import { Tally } from './tally.ts'

/**
 * `npm run chaos -- --rounds 1000 --seed 1`: rounds with the seeds 1, 2, 3 … on one mesh, each with its own faults.
 * `--only kill,freeze` chooses among them, `--json` ends with a summary for programs.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    workers: { type: 'string', default: '6' },
    minutes: { type: 'string' },
    only: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const firstSeed = Number(values.seed)
const only = values.only?.split(',')
const endsAt = values.minutes ? performance.now() + Number(values.minutes) * 60_000 : Infinity
const say = (line: string): void => void process.stderr.write(`${line}\n`)

const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())

// First of all: it sees the timers that are set from now on.
const tally = new Tally()
const mesh = await ChaosMesh.open({
  workers: Number(values.workers),
  atLeast: Math.min(4, Number(values.workers)),
  hasHostile: true,
})
// Whatever happens to this process: no worker is left behind, not even a stopped one.
process.on('exit', () => {
  for (const child of mesh.processes) child.kill('SIGKILL')
})
/** Milliseconds that this process has to end by itself after its last line. */
const endMs = 5_000
/** Rounds between two samples of memory: a dozen samples make a slope, and each waits for all workers. */
const sampleEvery = Math.max(1, Math.min(20, Math.floor(rounds / 12)))

const ledger = await Ledger.open(mesh)
for (let index = 0; index < rounds && !interrupted.signal.aborted && performance.now() < endsAt; index++) {
  const plan = planRound(firstSeed + index, { ...(only && { only }) })
  let report: RoundReport
  try {
    report = await playRound(mesh, plan)
    const surplus = await ledger.surplus()
    if (surplus.length > 0) report = { ...report, failures: [...report.failures, ...surplus] }
  } catch (error) {
    report = {
      plan,
      failures: [`not played to its end: ${String(error)}`],
      streams: [],
      happened: [],
      ms: 0,
      stoodStillMs: { client: 0, workers: 0 },
    }
  }
  tally.add(report)
  const { failures, happened, streams, ms, stoodStillMs } = report
  if (values.verbose || failures.length > 0) {
    const ends = streams.map(({ outcome, code, tokens }) => `${outcome}${code ? ` ${code}` : ''} ${tokens}`)
    say(
      `seed ${plan.seed}: ${happened.join(', ') || 'nothing'} → ${ends.join(', ')} (${Math.round(ms)} ms; stood still: client ${stoodStillMs.client} ms, workers ${stoodStillMs.workers} ms)`,
    )
    for (const [index, { attempts, gapsMs }] of streams.entries()) {
      if (attempts.length > 1)
        say(`  stream ${index}: ${attempts.join('; ')} (gaps ${gapsMs.map(Math.round).join()} ms)`)
    }
  }
  if (failures.length > 0) {
    for (const failure of failures) say(`  FAILED ${failure}`)
    say(
      `  replay: npm run chaos -- --rounds 1 --seed ${plan.seed}${only ? ` --only ${only.join()}` : ''} --verbose`,
    )
    say(`  plan: ${JSON.stringify(plan)}`)
  }
  if (index % sampleEvery === sampleEvery - 1) {
    // Samples compare best with all workers there. That a round begins with enough of them is asserted by the round.
    await mesh.settled(Number(values.workers)).catch((error: Error) => {
      tally.late++
      say(`late after seed ${plan.seed}: ${error.message}`)
    })
    tally.sample()
    say(
      `${index + 1} rounds: ${tally.line()} ${JSON.stringify(spent, (_, ms: unknown) => (typeof ms === 'number' ? Math.round(ms) : ms))}`,
    )
  }
}
await mesh.close()
const { processes } = mesh
if (processes.size > 0) {
  tally.failed++
  say(`FAILED ${processes.size} worker processes are left: ${[...processes].map(({ pid }) => pid).join()}`)
}
for (const leak of tally.leaks()) {
  tally.failed++
  say(`FAILED ${leak}`)
}
if (values.json) process.stdout.write(`${JSON.stringify(tally.summary(), undefined, 2)}\n`)
else say(tally.line())
say(`in a hundred rounds: ${JSON.stringify(tally.summary().slopePer100Rounds)}`)
process.exitCode = tally.failed > 0 ? 1 : 0
// Nothing is open any more, so the process ends here. This timer alone does not hold it.
setTimeout(() => {
  say(`FAILED after ${endMs} ms something is still open: ${JSON.stringify(holdings())}`)
  process.exit(1)
}, endMs).unref()
