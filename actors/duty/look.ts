import { fromPromise, type PromiseActorLogic } from 'xstate'
import type { Surroundings } from '../../machines/duty/index.ts'
import { surroundings, type SurroundingsPort } from './surroundings.port.ts'

/** One look at the clock and the battery, as the actor that `dutyMachine` asks for. */
export const createLookActor = (port: SurroundingsPort = surroundings): PromiseActorLogic<Surroundings> =>
  fromPromise(async (): Promise<Surroundings> => {
    const battery = await port.battery()
    const now = port.now()
    return { minuteOfDay: now.getHours() * 60 + now.getMinutes(), battery }
  })
