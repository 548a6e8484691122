import type { AnyActorLogic, AnyActorRef } from 'xstate'
import { createLookActor } from '../actors/duty/look.ts'
import type { SurroundingsPort } from '../actors/duty/surroundings.port.ts'
import { createSampleActor } from '../actors/health/os-sampler.ts'
import { createInferenceLogic } from '../actors/inference/create-inference.ts'
import type { Engine, ModelSpec } from '../actors/inference/engine.port.ts'
import type { Swarm } from '../actors/swarm/create-swarm.ts'
import { dutyMachine, lookIntervalMs, parseQuietHours, type DutyInput } from '../machines/duty/index.ts'
import type { GatewayInput } from '../machines/gateway/index.ts'
import { healthSamplerMachine, type HealthSamplerInput } from '../machines/health/index.ts'
import type { InferenceInput, LateModel } from '../machines/inference/index.ts'
import type { SubsystemSpec } from '../machines/node/node.machine.ts'
import { defaultRestartPolicy } from '../machines/node/restart-policy.ts'
import { subsystemMachine, type SubsystemName } from '../machines/node/subsystem.machine.ts'
import type { RequesterInput } from '../machines/request/index.ts'
import { schedulerMachine, type SchedulerInput } from '../machines/scheduling/index.ts'
import type { SwarmInput } from '../machines/swarm/index.ts'
import type { GossiperInput } from '../machines/trust/gossiper.machine.ts'
import { genesisParams, toEffortPolicy, type EffortPolicy } from '../machines/trust/index.ts'
import { limits } from '../protocol/index.ts'
import type { ClientSide } from './client-side.ts'
import type { Config } from './config/index.ts'
import type { GatewaySide } from './gateway-side.ts'
import { toOwnActorError, type OwnActor } from './own-actors.ts'
import type { TrustSide } from './trust/trust-side.ts'
import type { WorkerSide } from './worker-side.ts'

/** What the parts are made from. */
export interface PartsOptions {
  readonly config: Config
  readonly models: readonly ModelSpec[]
  /** Bytes that loaded models may take together; absent: all are loaded at the start and stay. */
  readonly memoryBytesMax?: number | undefined
  readonly engine: Engine
  /** Who did what for the mesh; absent: nothing is written down, and everybody is a newcomer. */
  readonly trust?: TrustSide | undefined
  /** When newcomers are asked for work, and for how much, where it differs from what everybody does. */
  readonly effort?: Partial<EffortPolicy> | undefined
  /** Answers HTTP; absent: nobody listens. */
  readonly gateway?: GatewaySide | undefined
  /** Actors that the program adds, and what each is given when it starts. */
  readonly ownActors?: readonly OwnActor[] | undefined
  readonly createOwnInput?: (() => unknown) | undefined
  /** The clock and the battery; replaced in tests. */
  readonly surroundings?: SurroundingsPort | undefined
}

/** The sides that the parts run, and who hears of them. */
export interface PartsWiring {
  readonly options: PartsOptions
  readonly now: () => number
  readonly worker: WorkerSide
  readonly client: ClientSide
  readonly swarm: Swarm['logic']
  /** Models that came after the start. */
  readonly lateModels: () => readonly LateModel[]
  /** The actor of a part before it runs; undefined when it is down. */
  readonly attach: (name: SubsystemName, ref: AnyActorRef | undefined) => void
}

/** Milliseconds each part has to stop by itself; a thread in the middle of a long batch takes longest. */
const stopWithinMs = { inference: 16_000, others: 6_000 } as const

const toGossiperInput = ({ epochMs, checkWaitMs, log }: TrustSide): GossiperInput => ({
  log,
  timings: { epochMs, checkWaitMs },
})

/** The actors that a node supervises, in the order in which they start. They stop in the reverse order. */
export function createParts({
  options,
  now,
  worker,
  client,
  swarm,
  lateModels,
  attach,
}: PartsWiring): SubsystemSpec[] {
  const { models, engine, config, surroundings, trust, gateway } = options
  const { ownActors = [], createOwnInput = () => ({}) } = options
  const { hosts, closings, runJob } = worker
  const part = (child: AnyActorLogic) =>
    subsystemMachine.provide({
      actors: { child },
      actions: { attach: (_, { name, child: ref }) => attach(name, ref) },
    })
  const spec = (
    name: SubsystemName,
    child: AnyActorLogic,
    createInput: () => unknown,
    rest: Partial<SubsystemSpec> = {},
  ): SubsystemSpec => ({
    name,
    logic: part(child),
    createInput,
    hasOwnStop: false,
    mayEnd: false,
    policy: defaultRestartPolicy,
    stopWithinMs: stopWithinMs.others,
    ...rest,
  })
  const ownStop = { hasOwnStop: true }
  return [
    spec('duty', dutyMachine.provide({ actors: { look: createLookActor(surroundings) } }), () =>
      toDutyInput(config, worker),
    ),
    spec(
      'health-sampler',
      healthSamplerMachine.provide({ actors: { sample: createSampleActor() } }),
      () => ({ intervalMs: 1_000 }) satisfies HealthSamplerInput,
    ),
    spec(
      'inference',
      createInferenceLogic({ engine, hosts, closings, runJob }),
      () =>
        ({
          models,
          gpuLayers: config.gpuLayers,
          mlock: config.mlock,
          threadsMax: config.threads,
          memoryBytesMax: options.memoryBytesMax,
          late: lateModels(),
          nowMs: now,
        }) satisfies InferenceInput,
      { ...ownStop, stopWithinMs: stopWithinMs.inference },
    ),
    spec(
      'scheduler',
      schedulerMachine,
      () =>
        ({
          nowMs: now,
          capacity: config.queueCapacity,
          effort: toEffortPolicy({ ...genesisParams, ...options.effort }),
        }) satisfies SchedulerInput,
    ),
    ...(trust ? [spec('score-gossiper', trust.gossiper, () => toGossiperInput(trust), ownStop)] : []),
    spec('swarm', swarm, () => ({}) satisfies SwarmInput, ownStop),
    spec(
      'requester',
      client.asker.createRequester(),
      () => ({ requestsMax: limits.requestsOpenMax }) satisfies RequesterInput,
      ownStop,
    ),
    // Late to start is early to stop: whoever asks through it hears the end of an answer.
    ...(gateway ? [spec('gateway', gateway.logic, () => ({}) satisfies GatewayInput, ownStop)] : []),
    // They may use all of the node for as long as they live.
    ...ownActors.map(({ name, logic }) =>
      spec(name, logic, createOwnInput, { mayEnd: true, toError: toOwnActorError(name) }),
    ),
  ]
}

/** A part that is started again knows what its forerunner knew. */
function toDutyInput({ quietHours, batteryMin }: Config, { pauses, isOverloaded }: WorkerSide): DutyInput {
  return {
    policy: { quietHours: quietHours.flatMap((text) => parseQuietHours(text) ?? []), batteryMin },
    pauses,
    isOverloaded,
    intervalMs: lookIntervalMs,
  }
}
