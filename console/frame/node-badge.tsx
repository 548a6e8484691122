import { accountOf } from '../mesh/accounts.ts'
import { link, node } from '../mesh/feed.ts'
import { many, shortId } from '../ui/format.ts'

const pauses: Readonly<Record<string, string>> = {
  owner: 'paused by its owner',
  'quiet-hours': 'in its quiet hours',
  battery: 'on battery',
  load: 'busy with other things',
  shutdown: 'stopping',
}

/** This node in a line: who it is, and whether it is well. */
export function NodeBadge() {
  const status = node.value
  if (!status) {
    const text = link.value === 'lost' ? 'The node does not answer' : 'Connecting…'
    return <NodeLine tone={link.value === 'lost' ? 'bad' : 'idle'} title="This node" text={text} />
  }
  const { id, name, network, health } = status
  const isOnline = network.state === 'online'
  const [tone, text] =
    link.value === 'lost'
      ? (['bad', 'does not answer'] as const)
      : !isOnline
        ? (['warn', network.state] as const)
        : health.pausedBy
          ? (['warn', health.pausedBy.map((reason) => pauses[reason] ?? reason).join(', ')] as const)
          : (['good', many(network.peers, 'peer')] as const)
  return <NodeLine tone={tone} title={name ?? accountOf(id)?.name ?? shortId(id)} text={text} />
}

function NodeLine({
  tone,
  title,
  text,
}: {
  readonly tone: string
  readonly title: string
  readonly text: string
}) {
  return (
    <a class="node-badge" href="#/mesh" aria-label={`This node: ${title}, ${text}`}>
      <span class={`dot ${tone}`} />
      <span class="node-badge-text">
        <strong>{title}</strong>
        <small>{text}</small>
      </span>
    </a>
  )
}
