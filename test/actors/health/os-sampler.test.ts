import { createActor, SimulatedClock, waitFor } from 'xstate'
import { describe, expect, it } from 'vitest'
import { readCgroup } from '../../../actors/health/cgroup.ts'
import { osPort, type OsPort } from '../../../actors/health/os.port.ts'
import { createOsSampler, createSampleActor } from '../../../actors/health/os-sampler.ts'
import { healthSamplerMachine } from '../../../machines/health/index.ts'

const gigabyte = 2 ** 30

/** A machine of 4 cores and 16 GB whose counters the test turns. */
class FakeOs implements OsPort {
  ms = 0
  busyMs = 0
  ownMs = 0
  average = 0
  availableBytes = 16 * gigabyte
  ownBytes = 0
  files = new Map<string, string>()

  /** Lets a second pass in which so many cores were busy, so many of them with this process. */
  second(busyCores: number, ownCores = 0): void {
    this.ms += 1_000
    this.busyMs += busyCores * 1_000
    this.ownMs += ownCores * 1_000
  }

  nowMs = () => this.ms
  cpuTimes = () => ({ busyMs: this.busyMs, totalMs: this.ms * 4 })
  cores = () => 4
  loadAverage = () => this.average
  memory = () => ({ totalBytes: 16 * gigabyte, availableBytes: this.availableBytes })
  ownCpuMs = () => this.ownMs
  ownMemoryBytes = () => Promise.resolve(this.ownBytes)
  readText = (path: string) => Promise.resolve(this.files.get(path))
}

describe('os sampler', () => {
  it('sees what others burn and takes off what this process burns', async () => {
    const os = new FakeOs()
    const sample = createOsSampler(os)
    await sample()
    os.second(3, 3)
    expect(await sample()).toMatchObject({ cpu: 0 })
    os.second(3, 1)
    expect(await sample()).toMatchObject({ cpu: 0.5 })
    os.second(4, 0)
    expect(await sample()).toMatchObject({ cpu: 1 })
  })

  it('takes its own share off memory and load as well', async () => {
    const os = new FakeOs()
    os.availableBytes = 8 * gigabyte
    os.ownBytes = 4 * gigabyte
    const sample = createOsSampler(os)
    expect(await sample()).toMatchObject({ memory: 0.25 })
    // Ten minutes of nothing but this process on two cores: the average load is all its own.
    for (let second = 0; second < 600; second++) {
      os.second(2, 2)
      await sample()
    }
    os.average = 2
    expect((await sample()).load).toBeLessThan(0.01)
    os.average = 4
    expect((await sample()).load).toBeCloseTo(0.5, 1)
  })

  it('answers the first time too, and when asked again at once', async () => {
    const os = new FakeOs()
    os.average = 1
    const sample = createOsSampler(os)
    expect(await sample()).toEqual({ cpu: 0.25, memory: 0, load: 0.25 })
    expect(await sample()).toEqual({ cpu: 0.25, memory: 0, load: 0.25 })
  })

  it('uses its own average where the system has none', async () => {
    const os = new FakeOs()
    const sample = createOsSampler(os)
    await sample()
    for (let second = 0; second < 300; second++) {
      os.second(2)
      await sample()
    }
    expect((await sample()).load).toBeCloseTo(0.5)
  })

  it.each([
    [
      'version 2',
      {
        '/proc/self/cgroup': '0::/box/inner\n',
        '/sys/fs/cgroup/box/cpu.max': '200000 100000\n',
        '/sys/fs/cgroup/box/cpu.stat': 'usage_usec USED\nuser_usec 1\n',
        '/sys/fs/cgroup/box/inner/cpu.max': 'max 100000\n',
        '/sys/fs/cgroup/box/inner/memory.max': 'max\n',
        '/sys/fs/cgroup/box/memory.max': String(4 * gigabyte),
        '/sys/fs/cgroup/box/memory.current': String(3 * gigabyte),
        '/sys/fs/cgroup/box/memory.stat': `anon 5\ninactive_file ${gigabyte}\n`,
      },
      1_000,
    ],
    [
      'version 1',
      {
        '/proc/self/cgroup': '4:memory:/box\n2:cpu,cpuacct:/box\n',
        '/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us': '200000\n',
        '/sys/fs/cgroup/cpu/box/cpu.cfs_period_us': '100000\n',
        '/sys/fs/cgroup/cpuacct/box/cpuacct.usage': 'USED\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/memory/box/memory.limit_in_bytes': String(4 * gigabyte),
        '/sys/fs/cgroup/memory/box/memory.usage_in_bytes': String(3 * gigabyte),
        '/sys/fs/cgroup/memory/box/memory.stat': `cache 5\ntotal_inactive_file ${gigabyte}\n`,
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      },
      1e6,
    ],
    [
      'version 2 seen from inside a container',
      {
        '/proc/self/cgroup': '0::/docker/0123\n',
        '/sys/fs/cgroup/cpu.max': '200000 100000\n',
        '/sys/fs/cgroup/cpu.stat': 'usage_usec USED\n',
        '/sys/fs/cgroup/memory.max': String(4 * gigabyte),
        '/sys/fs/cgroup/memory.current': String(2 * gigabyte),
      },
      1_000,
    ],
  ])('takes the limits of control groups (%s) for the machine', async (_, files, perMs) => {
    const os = new FakeOs()
    const used = (ms: number): void => {
      for (const [path, text] of Object.entries(files))
        os.files.set(path, text.replace('USED', String(ms * perMs)))
    }
    used(0)
    const sample = createOsSampler(os)
    await sample()
    // The host is entirely busy; of our two cores, one is, half of it with us.
    os.second(4, 0.5)
    os.average = 100
    os.ownBytes = gigabyte
    used(1_000)
    const { cpu, memory, load } = await sample()
    expect(cpu).toBeCloseTo(0.25)
    expect(memory).toBeCloseTo(0.25)
    expect(load).toBeCloseTo(0.25)
  })

  it('reads damaged files as no limit', async () => {
    for (const text of ['', 'x', '-1', '0::', '0::/../../etc\n', ':::\n\n', 'max', 'max max', '0 0']) {
      const usage = await readCgroup(() => Promise.resolve(text))
      expect(usage.cpu).toBeUndefined()
      expect(usage.memory?.limitBytes ?? 0).toBeGreaterThanOrEqual(0)
    }
    expect(await readCgroup(() => Promise.resolve(undefined))).toEqual({})
  })

  it('reads this very machine', async () => {
    const sample = createOsSampler()
    const { cpu, memory, load } = await sample()
    for (const share of [cpu, memory, load]) {
      expect(share).toBeGreaterThanOrEqual(0)
      expect(share).toBeLessThanOrEqual(1)
    }
    const { totalMs } = osPort.cpuTimes()
    expect(totalMs).toBeGreaterThan(0)
    expect(await osPort.ownMemoryBytes()).toBeGreaterThan(1e6)
    expect(await osPort.ownMemoryBytes()).toBeLessThanOrEqual(process.memoryUsage.rss() * 1.2)
  })

  it('feeds the health sampler', async () => {
    const os = new FakeOs()
    os.average = 4
    os.availableBytes = 8 * gigabyte
    const machine = healthSamplerMachine.provide({ actors: { sample: createSampleActor(os) } })
    const actor = createActor(machine, { clock: new SimulatedClock(), input: { intervalMs: 1_000 } })
    actor.start()
    const { context } = await waitFor(actor, ({ value }) => value === 'resting')
    // 100 − 30 for the processor, 15 for memory, 20 for load.
    expect(context.health).toEqual({ score: 35, state: 'busy', capacityShare: 0.4 })
    actor.stop()
  })
})
