import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import type { AnswerChunk } from '../../actors/request/answer-log.ts'
import { QMeshError } from '../../protocol/index.ts'
import { toMeshTopic } from '../../runtime/mesh-topic.ts'
import {
  createControlRig,
  drainedStatus,
  sampleExplanation,
  sampleResult,
  sampleStatus,
  workerWith,
} from '../runtime/support/control-rig.ts'
import { sampleVector } from '../support/sample-embeddings.ts'
import { tempDir } from '../runtime/support/temp-dir.ts'
import { cli, runMain, startCli } from './cli.ts'

const timeout = 30_000

/** A node of paper, and the command line that reaches it. */
async function rig(options: Parameters<typeof createControlRig>[0] = {}) {
  const node = await createControlRig(options)
  const home = await tempDir()
  return {
    node,
    home,
    args: (name: string, ...rest: string[]) => [name, '--data-dir', node.dataDir, ...rest],
  }
}

describe('with a running node', { timeout }, () => {
  it('ask streams its answer to standard output, and nothing else', async () => {
    const { node, home, args } = await rig()
    const run = await cli(home, args('ask', '--system', 'Be brief.', '-t', '0', 'What', 'is', 'this?'))
    expect(run).toEqual({ code: 0, stdout: 'hello world\n', stderr: '' })
    expect(node.asked[0]?.input).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'What is this?' },
    ])
    expect(node.asked[0]?.options).toMatchObject({ temperature: 0 })
  })

  it('ask passes on how a cut answer is to be resumed, if it is a way', async () => {
    const { node, home, args } = await rig()
    expect(await runMain(home, args('ask', '--resume', 'exact', 'hi'))).toMatchObject({ code: 0 })
    expect(node.asked[0]?.options).toMatchObject({ resume: 'exact' })
    expect(await runMain(home, args('ask', '--resume', 'slow', 'hi'))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--resume must be exact or fast, .*"slow"/),
    })
  })

  // A mesh that nobody is in.
  const elsewhere = ['--bootstrap', '127.0.0.1:1', '--host', '127.0.0.1', '--no-mdns', '--wait', '0.2']

  it.each([
    ['ask', '--bootstrap, --host, --no-mdns', elsewhere],
    ['ask', '--host, --secret, --no-mdns', ['--secret', 'of another mesh', ...elsewhere.slice(2)]],
    ['ask', '--host, --allow, --no-mdns', ['--allow', 'ab'.repeat(32), ...elsewhere.slice(2)]],
    ['embed', '--bootstrap, --host, --no-mdns', elsewhere],
  ])('%s is answered by nobody but who was named with %s', async (name, flags, words) => {
    const { node, home, args } = await rig()
    const run = await runMain(home, args(name, '--model', 'other', ...words, 'hi'))
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toContain(`a node runs here; for ${flags} a client of its own asks instead of it\n`)
    expect(run.stderr).toContain('error QM_NO_WORKERS')
    expect(node.asked).toEqual([])
  })

  describe('that says in which mesh it is', () => {
    const inMesh = (secret: string, bootstrap: string[]) =>
      rig({ port: { meeting: () => ({ topic: toMeshTopic(secret), bootstrap }) } })
    const env = { QMESH_SECRET: 'of this mesh', QMESH_BOOTSTRAP: '127.0.0.1:1', QMESH_HOST: '127.0.0.1' }
    const ask = ['--wait', '0.2', '--model', 'other', 'hi']

    it('ask goes through it when a variable names the same one, or nothing does', async () => {
      const { home, args } = await inMesh(env.QMESH_SECRET, [env.QMESH_BOOTSTRAP])
      const told = { code: 0, stdout: 'hello world\n', stderr: '' }
      expect(await runMain(home, args('ask', ...ask), { env })).toEqual(told)
      expect(await runMain(home, args('ask', ...ask))).toEqual(told)
    })

    it('ask goes through one of an earlier version, which does not say', async () => {
      const { home, args } = await rig({
        port: { meeting: () => Promise.reject(new QMeshError('QM_MESSAGE_INVALID', 'knows no command')) },
      })
      expect(await runMain(home, args('ask', ...ask), { env })).toMatchObject({ code: 0, stderr: '' })
    })

    it.each([
      ['QMESH_SECRET', 'of another mesh', ['127.0.0.1:1']],
      ['QMESH_BOOTSTRAP', 'of this mesh', ['127.0.0.1:2']],
      ['QMESH_SECRET and QMESH_BOOTSTRAP', 'of another mesh', []],
    ])('ask does not go past %s', async (names, secret, bootstrap) => {
      const { node, home, args } = await inMesh(secret, bootstrap)
      const run = await runMain(home, args('ask', ...ask), { env: { ...env, QMESH_MDNS: 'false' } })
      expect(run).toMatchObject({ code: 1, stdout: '' })
      expect(run.stderr).toContain(`in another mesh than ${names} says; a client of its own asks`)
      expect(node.asked).toEqual([])
    })
  })

  it('workers shows those of the mesh that was named', async () => {
    const { home, args } = await rig({ port: { workers: () => [workerWith('tiny')] } })
    const run = await runMain(home, args('workers', ...elsewhere))
    expect(run).toMatchObject({ code: 0, stdout: '' })
    expect(run.stderr).toMatch(/^a node runs here; .*\nno worker is known/)
  })

  it('ask says that it writes no log', async () => {
    const { node, home, args } = await rig()
    const run = await runMain(home, args('ask', '--log-level', 'debug', 'hi'))
    expect(run).toMatchObject({ code: 0, stdout: 'hello world\n' })
    expect(run.stderr).toMatch(/^--log-level has no effect here: .*\n$/)
    expect(node.asked).toHaveLength(1)
  })

  it('models pull refuses another mesh, for which the node cannot fetch', async () => {
    const { home, args } = await rig()
    const run = await runMain(home, ['models', ...args('pull', '--secret', 'of another mesh', 'tiny')])
    expect(run).toMatchObject({ code: 2, stdout: '' })
    expect(run.stderr).toContain('a node runs here and moves the models, so --secret cannot be followed')
  })

  it('models pull says what the node does not keep to', async () => {
    const { home, args } = await rig()
    const run = await runMain(home, [
      'models',
      ...args('pull', '--no-peers', '--models-seeder', 'ab'.repeat(32), 'x'),
    ])
    expect(run.stderr).toContain('it moves the models in its own way, without --models-seeder, --no-peers\n')
  })

  it('ask names the models there are long before it gives up a mistyped one', async () => {
    const { home, args } = await rig({
      chunks: never,
      port: { workers: () => [workerWith('tiny')] },
    })
    const child = startCli(home, args('ask', '--model', 'tniy', '--wait', '3600', 'hi'))
    const [said] = (await once(child.stderr, 'data')) as [Buffer]
    expect(said.toString()).toBe(
      'waiting for a worker that holds "tniy"; did you mean "tiny"? "qmesh-node workers" shows all models\n',
    )
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([130, null])
  })

  it.skipIf(!existsSync('/dev/full'))('ask fails when its answer cannot be written', async () => {
    const { home, args } = await rig()
    const run = await cli(home, args('ask', 'hi'), { into: '/dev/full' })
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(/^error QM_OUTPUT_FAILED: /)
  })

  it('embed prints a vector a line, or all of it as JSON', async () => {
    const { home, args } = await rig()
    const run = await runMain(home, args('embed', '--stats', 'a dog', 'a cat'))
    expect(run).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^2 vectors of 4 numbers · 2 tokens/),
    })
    const lines = run.stdout.trimEnd().split('\n')
    expect(lines.map((line) => Float32Array.from(line.split(' '), Number))).toEqual(
      ['a dog', 'a cat'].map((text) => sampleVector(text)),
    )
    const json = await runMain(home, args('embed', '--json', '--model', 'minilm', '--size', '8', 'a dog'))
    const { vectors, ...rest } = JSON.parse(json.stdout) as { vectors: number[][] }
    expect(vectors.map((numbers) => Float32Array.from(numbers))).toEqual([sampleVector('a dog', 8)])
    expect(rest).toMatchObject({ modelId: 'minilm', size: 8, requests: [{ texts: 1 }] })
  })

  it('embed reads a text a line from standard input', async () => {
    const { home, args } = await rig()
    const run = await cli(home, args('embed', '-'), { input: 'one\r\n\ntwo\n' })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(run.stdout.trimEnd().split('\n')).toHaveLength(2)
  })

  it('embed sends vectors that together are more than a frame holds', async () => {
    const { home, args } = await rig()
    const texts = Array.from({ length: 100 }, (_, index) => `text ${index}`)
    const run = await runMain(home, args('embed', '--size', '4096', '--json', ...texts))
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect((JSON.parse(run.stdout) as { vectors: number[][] }).vectors).toHaveLength(100)
  })

  it('embed says what is wrong', async () => {
    const { home, args } = await rig({
      port: { embed: () => Promise.reject(new QMeshError('QM_MODEL_KIND', '"tiny" answers')) },
    })
    expect(await runMain(home, args('embed', 'a'))).toMatchObject({
      stderr: expect.stringMatching(/^error QM_MODEL_KIND: "tiny" answers\nhint: /),
    })
    expect(await runMain(home, args('embed', '--size', 'many', 'a'))).toMatchObject({ code: 2 })
    const long = Array.from({ length: 3 }, () => 'x'.repeat(400_000))
    expect(await runMain(home, args('embed', ...long))).toMatchObject({
      stderr: expect.stringMatching(/^error QM_REQUEST_INVALID: this is too long for one call /),
    })
    expect(await cli(home, args('embed'), { input: '\n' })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error QM_USAGE: standard input holds no text\n/),
    })
    expect(await cli(home, args('embed'), { input: 'x'.repeat(600_000) })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error QM_USAGE: standard input has more than 524288 characters/),
    })
  })

  it('embed says how to come by a model when nobody has one', async () => {
    const { home, args } = await rig({
      port: { embed: () => Promise.reject(new QMeshError('QM_NO_WORKERS', 'nobody')) },
    })
    expect((await runMain(home, args('embed', 'a'))).stderr).toMatch(
      /^error QM_NO_WORKERS: nobody\nhint: "qmesh-node models pull all-minilm-l6-v2" .*"qmesh-node up --model all-minilm-l6-v2" serves it\n$/,
    )
  })

  it.each([
    ['tinny', 'did you mean "tiny"?'],
    ['qwerty', 'there are "tiny", "other";'],
  ])('ask --model %s says which models there are: %s', async (model, names) => {
    const ids = ['tiny', 'other', 'tiny']
    const { home, args } = await rig({
      chunks: async function* (): AsyncGenerator<AnswerChunk> {
        yield* []
        throw new QMeshError('QM_NO_WORKERS', 'nobody')
      },
      port: { workers: () => ids.map((id) => workerWith(id)) },
    })
    const run = await runMain(home, args('ask', '--model', model, 'hi'))
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toBe(
      `error QM_NO_WORKERS: nobody\nhint: ${names} "qmesh-node workers" shows all models\n`,
    )
  })

  it.each([[['-']], [[]]])('ask %j reads the prompt from standard input', async (words) => {
    const { node, home, args } = await rig()
    const run = await cli(home, args('ask', ...words), { input: 'from a pipe\n' })
    expect(run).toMatchObject({ code: 0, stdout: 'hello world\n' })
    expect(node.asked[0]?.input).toEqual([{ role: 'user', content: 'from a pipe\n' }])
  })

  it('ask --json prints one document with milliseconds to a tenth, --stats one line beside it', async () => {
    const { home, args } = await rig({
      result: { ...sampleResult, timings: { ...sampleResult.timings, totalMs: 9.123_456 } },
    })
    const run = await runMain(home, args('ask', '--json', '--stats', 'hi'))
    expect(JSON.parse(run.stdout)).toEqual({
      ...sampleResult,
      timings: { ...sampleResult.timings, totalMs: 9.1 },
    })
    expect(run.stderr).toMatch(/^2 tokens \(stop\) · .* · tiny on abababababab…\n$/)
  })

  it('ask ends the line of an answer that breaks off, says why, and ends with 1', async () => {
    const { home, args } = await rig({
      chunks: async function* (): AsyncGenerator<AnswerChunk> {
        yield { text: 'half of', tokens: [1] }
        throw new QMeshError('QM_WORKER_LOST', 'the worker\nwent away')
      },
    })
    expect(await runMain(home, args('ask', 'hi'))).toEqual({
      code: 1,
      stdout: 'half of\n',
      stderr: 'error QM_WORKER_LOST: the worker went away\n',
    })
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ask is cancelled by %s and ends with %d', async (signal, code) => {
    const { node, home, args } = await rig({ chunks: endless })
    const child = startCli(home, args('ask', 'hi'))
    await once(child.stdout, 'data')
    child.kill(signal)
    expect(await once(child, 'exit')).toEqual([code, null])
    await vi.waitFor(() => expect(node.asked[0]?.isLeft).toBe(true), 20_000)
  })

  it('ask stops quietly when its reader goes away', async () => {
    const { node, home, args } = await rig({ chunks: endless })
    const child = startCli(home, args('ask', 'hi'))
    let stderr = ''
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(stderr).toBe('')
    await vi.waitFor(() => expect(node.asked[0]?.isLeft).toBe(true), 20_000)
  })

  it('chat remembers what was said', async () => {
    const { node, home, args } = await rig()
    const input = 'one\n\ntwo\n/reset\nthree\n/exit\nfour\n'
    const run = await cli(home, args('chat', '--system', 'S'), { input })
    expect(run).toEqual({ code: 0, stdout: 'hello world\n'.repeat(3), stderr: '' })
    const system = { role: 'system', content: 'S' }
    const user = (content: string) => ({ role: 'user', content })
    const assistant = { role: 'assistant', content: 'hello world' }
    expect(node.asked.map(({ input }) => input)).toEqual([
      [system, user('one')],
      [system, user('one'), assistant, user('two')],
      [system, user('three')],
    ])
  })

  it('status and workers print what it says', async () => {
    const { home, args } = await rig()
    const status = await runMain(home, args('status', '--json'))
    expect(JSON.parse(status.stdout)).toEqual(sampleStatus)
    expect((await runMain(home, args('status'))).stdout).toMatch(
      /^model +tiny: ready, 2 slots, 512 tokens of context, cpu$/m,
    )
    expect((await runMain(home, args('status'))).stdout).toMatch(
      /^parts +1 running; queue-watch restarting, started again 2 times in a minute \(QM_INTERNAL: oh\)$/m,
    )
    expect(await runMain(home, args('workers', '--json'))).toMatchObject({ code: 0, stdout: '[]\n' })
  })
})

describe('drain and resume', { timeout }, () => {
  it('say what the node does then', async () => {
    const { home, args } = await rig()
    expect(await runMain(home, args('drain'))).toEqual({
      code: 0,
      stdout: 'paused: drained; "qmesh-node resume" serves again; quiet hours; 2 still open\n',
      stderr: '',
    })
    expect(JSON.parse((await runMain(home, args('drain', '--json'))).stdout)).toEqual(drainedStatus)
    expect((await runMain(home, args('resume'))).stdout).toBe('serving\n')
    expect(JSON.parse((await runMain(home, args('resume', '--json'))).stdout)).toEqual(sampleStatus)
  })

  it('are seen in the status', async () => {
    const { home, args } = await rig({ port: { status: () => drainedStatus } })
    const { stdout } = await runMain(home, args('status'))
    expect(stdout).toMatch(/^health +idle \(90\), refusing requests$/m)
    expect(stdout).toMatch(/^paused +drained; .*; quiet hours$/m)
  })

  it('drain --wait returns when nothing runs any more, and says how far it is', async () => {
    const queue = { length: 0, capacity: 10, slots: 2 }
    let slotsBusy = 3
    const status = () => ({ ...drainedStatus, queue: { ...queue, slotsBusy: Math.max(0, --slotsBusy) } })
    const { home, args } = await rig({ port: { drain: status, status } })
    expect(await runMain(home, args('drain', '--wait'))).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^paused: .*quiet hours\n$/),
      stderr: 'waiting for 2 answers\nwaiting for one answer\n',
    })
  })

  it('drain --wait fails at its deadline and leaves the node drained', async () => {
    const { home, args } = await rig({ port: { status: () => drainedStatus } })
    const run = await runMain(home, args('drain', '--wait', '--timeout', '0.3'))
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(/error QM_DEADLINE_PASSED: 2 answers still open after 0.3 s; .*stays drained/)
  })

  it('drain --wait fails when somebody resumes the node meanwhile, even if nothing runs', async () => {
    const idle = { length: 0, capacity: 10, slotsBusy: 0, slots: 2 }
    const resumed = { ...sampleStatus, queue: idle }
    const { home, args } = await rig({ port: { status: () => resumed } })
    const run = await runMain(home, args('drain', '--wait'))
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toMatch(/error QM_CANCELLED: the node was resumed while it drained/)
  })

  it('drain --wait is left by Ctrl-C', async () => {
    const { home, args } = await rig({ port: { status: () => drainedStatus } })
    const child = startCli(home, args('drain', '--wait'))
    await once(child.stderr, 'data')
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([130, null])
  })

  it.each(['drain', 'resume', 'why'])('%s says so when no node runs', async (name) => {
    const home = await tempDir()
    const run = await runMain(home, [name, '--json'])
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(/^error QM_NODE_NOT_RUNNING: .*qmesh-node up/)
  })
})

describe('why', { timeout }, () => {
  it('tells the story of a request', async () => {
    const why = vi.fn<() => typeof sampleExplanation>(() => sampleExplanation)
    const { home, args } = await rig({ port: { why } })
    const { code, stdout } = await runMain(home, args('why', 'CDCD', '--replay'))
    expect(code).toBe(0)
    expect(why).toHaveBeenCalledWith('CDCD', { replay: true })
    expect(stdout).toContain('outcome answered, 30 tokens, 860 ms, 2 tries, 1 handover\n')
    expect(stdout).toContain('try 1 at 0 ms: tiny on 343434343434…\n')
    expect(stdout).toContain(
      '  place 2 in its queue, about 300 ms, first token after 100 ms, 10 tokens, over after 650 ms\n',
    )
    // What a worker wrote does not reach the terminal as it is.
    expect(stdout).toContain('  ended with QM_DRAINING: going␛[31m\n')
    expect(stdout).toContain('went on after 10 tokens, gap 700 ms')
    expect(stdout).toMatch(/chosen of 2 known workers: drawn among the best.*; seed 7; made again: the same/)
    expect(stdout).toMatch(/^ +abababababab… +chosen +slot-free +0\.910 +0\.90 +0\.50 +0\.25 +1\.00 +0\.0$/m)
    expect(stdout).toMatch(/^ +121212121212… +out: model$/m)
    expect(JSON.parse((await runMain(home, args('why', '--json'))).stdout)).toEqual(sampleExplanation)
  })

  it('lists what is remembered', async () => {
    const { attempts: _, ...summary } = sampleExplanation
    const { home, args } = await rig({ port: { requests: () => [summary] } })
    const { stdout } = await runMain(home, args('why', '--list'))
    expect(stdout).toMatch(/^cdcdcdcdcdcd… +2024-01-02 03:04:05 +any +answered +2 +1 +30 +860 ms$/m)
    expect(JSON.parse((await runMain(home, args('why', '--list', '--json'))).stdout)).toEqual([summary])
    const empty = await rig()
    expect((await runMain(empty.home, empty.args('why', '--list'))).stderr).toContain('asked nothing')
  })

  it('refuses what is no id, and passes on that a request is unknown', async () => {
    const unknown = () => {
      throw new QMeshError('QM_REQUEST_UNKNOWN', 'no such request here')
    }
    const { home, args } = await rig({ port: { why: unknown } })
    expect(await runMain(home, args('why', 'no-id'))).toMatchObject({ code: 2 })
    expect(await runMain(home, args('why', 'cd', '--list'))).toMatchObject({ code: 2 })
    const run = await runMain(home, args('why', 'cd'))
    expect(run).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^error QM_REQUEST_UNKNOWN: no such[^]*why --list/),
    })
  })

  it('ask --why explains beside the answer, or in its document', async () => {
    const { home, args } = await rig()
    const run = await runMain(home, args('ask', '--why', 'hi'))
    expect(run).toMatchObject({ code: 0, stdout: 'hello world\n' })
    expect(run.stderr).toContain(`request ${sampleExplanation.requestId}\n`)
    const { stdout } = await runMain(home, args('ask', '--why', '--json', 'hi'))
    expect(JSON.parse(stdout)).toEqual({ ...sampleResult, why: sampleExplanation })
  })

  it('ask --why prints the answer also when nobody can explain it', async () => {
    const unknown = () => {
      throw new QMeshError('QM_REQUEST_UNKNOWN', 'it was long ago')
    }
    const { home, args } = await rig({ port: { why: unknown } })
    const run = await runMain(home, args('ask', '--why', '--json', 'hi'))
    expect(JSON.parse(run.stdout)).toEqual(sampleResult)
    expect(run).toMatchObject({ code: 0, stderr: expect.stringContaining('it was long ago') })
    expect(await runMain(home, args('ask', '--why', 'hi'))).toMatchObject({
      code: 0,
      stdout: 'hello world\n',
      stderr: expect.stringContaining('it was long ago'),
    })
  })

  it('ask --why explains a failure too', async () => {
    const { home, args } = await rig({
      chunks: async function* (): AsyncGenerator<AnswerChunk> {
        yield { text: 'half', tokens: [1] }
        throw new QMeshError('QM_WORKER_LOST', 'gone')
      },
    })
    const run = await runMain(home, args('ask', '--why', 'hi'))
    expect(run).toMatchObject({ code: 1, stdout: 'half\n' })
    expect(run.stderr).toMatch(/^request cdcd[^]*\nerror QM_WORKER_LOST: gone\n$/)
    const { stdout } = await runMain(home, args('ask', '--json', 'hi'))
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'QM_WORKER_LOST', message: 'gone', requestId: sampleResult.requestId },
    })
  })
})

/** An answer that nobody gives. */
async function* never(signal: AbortSignal | undefined): AsyncGenerator<AnswerChunk> {
  if (signal) await once(signal, 'abort')
  yield { text: '', tokens: [] }
}

async function* endless(signal: AbortSignal | undefined): AsyncGenerator<AnswerChunk> {
  for (let token = 0; ; token++) {
    if (signal?.aborted) throw new QMeshError('QM_CANCELLED')
    yield { text: 'word ', tokens: [token] }
    await new Promise((resolve) => setImmediate(resolve))
  }
}
