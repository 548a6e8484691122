import { fromCallback } from 'xstate'
import type { EngineHostCommand, EngineHostEvent, EngineHostInput } from '../../machines/inference/index.ts'
import { toQMeshError, type ModelId } from '../../protocol/index.ts'
import type { Engine, EngineHost } from './engine.port.ts'

export interface EngineHostPorts {
  readonly engine: Engine
  /** Where the intake finds the host of a model while it is loaded. */
  readonly hosts: Map<ModelId, EngineHost>
  /** Threads that are being closed; whoever stops the node waits for them. */
  readonly closings: Set<Promise<void>>
}

/**
 * Loads a model and holds its host for as long as the machine that invoked it is in the state. Closing is asked for and
 * reported, because nobody waits for a clean-up; the clean-up closes what was not closed in order.
 */
export function createEngineHostAdapter({ engine, hosts, closings }: EngineHostPorts) {
  return fromCallback<EngineHostCommand, EngineHostInput>(
    ({ input: { spec, options }, sendBack, receive }) => {
      let isOver = false
      const tell = (event: EngineHostEvent): void => {
        if (!isOver) sendBack(event)
      }
      const loading = engine.load(spec, options)

      const unregister = (host: EngineHost): void => {
        if (hosts.get(spec.id) === host) hosts.delete(spec.id)
      }
      const closeHost = async (): Promise<void> => {
        const host = await loading.catch(() => undefined)
        if (!host) return
        unregister(host)
        await host.close()
      }
      let closing: Promise<void> | undefined
      const close = (): Promise<void> => {
        if (closing) return closing
        const begun = closeHost()
          .catch(() => undefined)
          .finally(() => closings.delete(begun))
        closings.add(begun)
        closing = begun
        return begun
      }

      loading.then(
        (host) => {
          if (isOver) return
          hosts.set(spec.id, host)
          void host.lost.then(({ code, message }) => {
            unregister(host)
            tell({ type: 'host.lost', code, message })
          })
          tell({ type: 'host.loaded', model: host.model })
        },
        (error: unknown) => {
          const { code, message } = toQMeshError(error, 'QM_INFERENCE_FAILED')
          tell({ type: 'host.failed', code, message })
        },
      )
      receive(() => {
        void close().then(() => tell({ type: 'host.closed' }))
      })
      return () => {
        isOver = true
        void close()
      }
    },
  )
}
