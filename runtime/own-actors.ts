import type { AnyActorLogic } from 'xstate'
import { builtInParts, type SubsystemName } from '../machines/node/subsystem.machine.ts'
import { QMeshError, toQMeshError } from '../protocol/index.ts'

/** Actors that a program adds to its node: logic of XState 5 that takes `Input`, or none, by its name. */
export type OwnActors<Input> = Readonly<Record<string, OwnActorLogic<Input>>>

/** A machine, `fromPromise`, `fromCallback` and the like. What its input has to be is checked, the rest is its own. */
export type OwnActorLogic<Input> = AnyActorLogic & {
  readonly getInitialSnapshot: (scope: never, input: Input) => unknown
}

export interface OwnActor {
  readonly name: SubsystemName
  readonly logic: AnyActorLogic
}

/** They stand beside the node's parts under one parent, and a parent has at most 100 children. */
const ownActorsMax = 64

const reserved: ReadonlySet<string> = new Set([...builtInParts, 'node'])

/**
 * The actors that were given, in their order. Programs without types call this, too.
 *
 * @throws QMeshError `QM_CONFIG_INVALID`
 */
export function toOwnActors(given: Readonly<Record<string, AnyActorLogic>> = {}): OwnActor[] {
  const entries = Object.entries<AnyActorLogic>(given)
  if (entries.length > ownActorsMax) {
    throw invalid(`"actors" takes at most ${ownActorsMax} actors, not ${entries.length}; start more from one`)
  }
  return entries.map(([name, logic]) => {
    if (!/^[a-z][a-z0-9-]{0,63}$/.test(name)) {
      throw invalid(
        `"actors" has "${name.slice(0, 80)}": a name is 1 to 64 lower case letters, digits and "-", a letter first`,
      )
    }
    if (reserved.has(name))
      throw invalid(`"actors" has "${name}", which is a part of every node: rename yours`)
    if (!isLogic(logic)) {
      throw invalid(
        `"actors" must give "${name}" logic of XState 5, such as createMachine() or fromPromise() return; a running actor is not taken`,
      )
    }
    return { name, logic }
  })
}

/** What an own actor failed with, so that nobody takes it for a defect of the node. */
export const toOwnActorError =
  (name: string) =>
  (error: unknown): QMeshError =>
    toQMeshError(error, 'QM_INTERNAL', `The actor "${name}" of this program failed.`)

const isLogic = (logic: unknown): boolean =>
  typeof logic === 'object' &&
  logic !== null &&
  'transition' in logic &&
  typeof logic.transition === 'function' &&
  'getInitialSnapshot' in logic &&
  typeof logic.getInitialSnapshot === 'function'

const invalid = (message: string): QMeshError => new QMeshError('QM_CONFIG_INVALID', message)
