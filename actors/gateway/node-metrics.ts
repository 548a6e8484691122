import { Counter, Gauge, type Registry } from 'prom-client'
import type { GatewayNodeStatus, GatewayPort } from './gateway.port.ts'

/** Samples of one metric: a value, or one for each set of labels; undefined where there is nothing to tell. */
type Read = (status: GatewayNodeStatus) => number | readonly Labelled[] | undefined
type Labelled = readonly [labels: Readonly<Record<string, string>>, value: number]

/**
 * What a node is at the moment, for Prometheus: read whenever the metrics are, so that nobody has to tell. A registry
 * that watched a node before watches this one instead.
 */
export function watchNode(registry: Registry, port: GatewayPort): void {
  const gauge = (name: string, help: string, read: Read, labelNames: readonly string[] = []): void => {
    const metric: Gauge = new Gauge({
      ...named(registry, name, help, labelNames),
      collect: () => {
        // One without labels is 0 after that, one with labels is gone.
        metric.reset()
        const value = read(port.status())
        if (typeof value === 'number') metric.set(value)
        else if (value) for (const [labels, sample] of value) metric.set({ ...labels }, sample)
        else if (labelNames.length === 0) metric.remove()
      },
    })
  }
  /** What the node counted itself. */
  const counter = (name: string, help: string, label: string, read: (key: Totals) => Counts): void => {
    const metric: Counter = new Counter({
      ...named(registry, name, help, label === '' ? [] : [label]),
      collect: () => {
        metric.reset()
        const { totals } = port.status()
        if (!totals) return
        for (const [value, count] of Object.entries(read(totals))) {
          if (label === '') metric.inc(count)
          else metric.inc({ [label]: value }, count)
        }
      },
    })
  }
  gauge('node_info', 'Always 1; the version of the node.', ({ version }) => [[{ version }, 1]], ['version'])
  gauge('peers', 'Connected peers.', ({ network }) => network.peers)
  gauge('online', 'Whether anybody can be reached.', ({ network }) => (network.state === 'online' ? 1 : 0))
  gauge('workers', 'Workers that this node knows.', () => port.workers().length)
  gauge('accepting', 'Whether others may ask this node.', ({ health }) => (health.accepting ? 1 : 0))
  gauge('queue_length', "Requests in this node's own queue.", ({ queue }) => queue.length)
  gauge('queue_capacity', 'Requests that the queue takes now.', ({ queue }) => queue.capacity)
  gauge('slots', "This node's own slots.", ({ queue }) => queue.slots)
  gauge('slots_busy', "This node's own slots that are answering.", ({ queue }) => queue.slotsBusy)
  gauge('health_score', '0 to 100; 100 is idle.', ({ health }) => health.score)
  gauge('score', "Points of this node's account.", ({ account }) => account?.score)
  gauge('credit', 'Credits that this node may spend, less the line.', ({ account }) => account?.balance)
  gauge('credit_line', 'Credits below zero that it may spend.', ({ account }) => account?.line)
  gauge(
    'tier',
    "1 for the tier of this node's account.",
    ({ account }) => account && [[{ tier: account.tier }, 1]],
    ['tier'],
  )
  gauge('uptime_seconds', 'Since the node started.', ({ uptimeMs }) => uptimeMs / 1_000)
  gauge('resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss())
  counter(
    'served_tokens_total',
    "Tokens that this node's worker read and generated, for others and for itself.",
    'kind',
    ({ servedPromptTokens, servedTokens }) => ({ prompt: servedPromptTokens, completion: servedTokens }),
  )
  counter(
    'received_tokens_total',
    'Tokens of answers to questions of this node, asked in whatever way.',
    '',
    ({ receivedTokens }) => ({ received: receivedTokens }),
  )
  counter(
    'model_bytes_total',
    'Bytes of models, given to peers (up) and fetched from anywhere (down).',
    'direction',
    ({ givenModelBytes, fetchedModelBytes }) => ({ up: givenModelBytes, down: fetchedModelBytes }),
  )
}

type Totals = NonNullable<GatewayNodeStatus['totals']>
type Counts = Readonly<Record<string, number>>

function named(registry: Registry, suffix: string, help: string, labelNames: readonly string[]) {
  const name = `qmesh_${suffix}`
  registry.removeSingleMetric(name)
  return { name, help, labelNames: [...labelNames], registers: [registry] }
}
