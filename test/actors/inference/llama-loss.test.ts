import type { EngineHost } from '../../../actors/inference/engine.port.ts'
import { limits } from '../../../protocol/index.ts'
import { afterAll, describe, expect, it } from 'vitest'
import { ask, createInferenceRig, start, toRequest } from '../../support/inference-rig.ts'

const rig = createInferenceRig()
afterAll(() => rig.close())

/** A paused generation is not in native code, so its thread can be killed without taking the process along. */
async function startPaused(host: EngineHost) {
  const paused = await start(host, { maxTokens: 300 })
  await paused.arrived(limits.unackedTokensMax)
  return paused
}

describe('a thread that dies', () => {
  it('fails what runs, says so, and the model can be loaded again', async () => {
    const spec = rig.model()
    const host = await rig.load(spec)
    const before = await ask(host, {})
    const running = await startPaused(host)
    await rig.workers.at(-1)?.terminate()
    await expect(running.generation.finished).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    expect(await host.lost).toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    await expect(host.prepare(toRequest('after', {}))).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    const late = host.generate('after', () => undefined)
    await expect(late.finished).rejects.toMatchObject({ code: 'QM_ENGINE_CRASHED' })
    await host.close()

    const again = await rig.load(spec)
    const victim = rig.workers.at(-1)
    expect(again.model).toEqual(host.model)
    expect((await ask(again, {})).tokens).toEqual(before.tokens)

    const other = await rig.load(rig.model({ seed: 3 }))
    expect(other.model.hash).not.toBe(again.model.hash)
    const unharmed = await start(other, { maxTokens: 120 })
    await unharmed.arrived(1)
    await victim?.terminate()
    await again.lost
    await expect(unharmed.generation.finished).resolves.toMatchObject({ completionTokens: 120 })
  })
})

describe('a thread that makes no progress', () => {
  it('is given up, and what it ran fails', async () => {
    // A thousandth of a millisecond is less than any token takes, so the first look finds a hang.
    const watchdog = { hangMs: 0.001, perPromptTokenMs: 0 }
    const host = await rig.load(rig.model({ layers: 24 }), { watchdog })
    const prompt = 'the in an er on is to of '.repeat(100)
    const running = start(host, { prompt, maxTokens: 9 }).then(({ generation }) => generation.finished)
    await expect(running).rejects.toMatchObject({ code: 'QM_ENGINE_HUNG' })
    expect(await host.lost).toMatchObject({ code: 'QM_ENGINE_HUNG' })
  })
})

describe('closing', () => {
  it('cancels what runs, takes no more, and may be done twice', async () => {
    const host = await rig.load(rig.model())
    const running = await start(host, { maxTokens: 900 })
    await running.arrived(1)
    await Promise.all([host.close(), host.close()])
    await expect(running.generation.finished).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    await expect(host.prepare(toRequest('late', {}))).rejects.toMatchObject({ code: 'QM_CANCELLED' })
    const lost = await Promise.race([host.lost, Promise.resolve('closed in order')])
    expect(lost).toBe('closed in order')
  })
})
