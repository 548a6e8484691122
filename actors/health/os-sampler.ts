import { fromPromise, type PromiseActorLogic } from 'xstate'
import type { HealthSample } from '../../machines/health/index.ts'
import { readCgroup } from './cgroup.ts'
import { osPort, type OsPort } from './os.port.ts'

/** Below this, differences of counters that tick every 10 ms say nothing. */
const spanMsMin = 200
/** The time constant of the system's one-minute load average. */
const loadSpanMs = 60_000

const share = (part: number, whole: number): number =>
  whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 1

interface Counters {
  readonly atMs: number
  readonly hostBusyMs: number
  readonly hostTotalMs: number
  readonly groupUsedMs: number | undefined
  readonly ownMs: number
}

/**
 * Returns a function that says how busy the machine is with other things than this process: what the process itself
 * burns and holds is taken off. In a control group with limits, the group is the machine.
 */
export function createOsSampler(port: OsPort = osPort): () => Promise<HealthSample> {
  let past: Counters | undefined
  let cpu: number | undefined
  // Both follow the same average as the system's load, so that like is taken from like.
  let ownLoad = 0
  let cpuLoad: number | undefined

  return async () => {
    const group = await readCgroup(port.readText)
    const ownBytes = await port.ownMemoryBytes()
    const cores = group.cpu?.cores ?? port.cores()
    const { busyMs, totalMs } = port.cpuTimes()
    const now: Counters = {
      atMs: port.nowMs(),
      hostBusyMs: busyMs,
      hostTotalMs: totalMs,
      groupUsedMs: group.cpu?.usedMs,
      ownMs: port.ownCpuMs(),
    }
    const spanMs = past === undefined ? 0 : now.atMs - past.atMs
    if (past === undefined) past = now
    else if (spanMs >= spanMsMin) {
      const ownCores = (now.ownMs - past.ownMs) / spanMs
      const usedCores =
        now.groupUsedMs !== undefined && past.groupUsedMs !== undefined
          ? (now.groupUsedMs - past.groupUsedMs) / spanMs
          : (port.cores() * (now.hostBusyMs - past.hostBusyMs)) /
            Math.max(1, now.hostTotalMs - past.hostTotalMs)
      cpu = share(usedCores - ownCores, cores)
      const weight = 1 - Math.exp(-spanMs / loadSpanMs)
      ownLoad += (ownCores - ownLoad) * weight
      cpuLoad = (cpuLoad ?? cpu) + (cpu - (cpuLoad ?? cpu)) * weight
      past = now
    }
    const average = port.loadAverage()
    // A load average counts the whole host; where there is none, or a limit makes us see less, use our own.
    const load = group.cpu !== undefined || average === 0 ? (cpuLoad ?? 0) : share(average - ownLoad, cores)
    const host = port.memory()
    const memory =
      group.memory !== undefined && group.memory.limitBytes < host.totalBytes
        ? share(group.memory.usedBytes - ownBytes, group.memory.limitBytes)
        : share(host.totalBytes - host.availableBytes - ownBytes, host.totalBytes)
    // Before there is a difference to take, the load of the last minute is the best guess.
    return { cpu: cpu ?? load, memory, load }
  }
}

/** The sampler as the actor that `healthSamplerMachine` asks for. One sampler per actor: it remembers the last time. */
export function createSampleActor(port: OsPort = osPort): PromiseActorLogic<HealthSample> {
  const sample = createOsSampler(port)
  return fromPromise(() => sample())
}
