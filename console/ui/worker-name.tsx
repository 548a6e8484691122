import { accountOf } from '../mesh/accounts.ts'
import { node } from '../mesh/feed.ts'
import { shortId } from './format.ts'

/** A node by the name that its owner chose and the beginning of its id; a name alone proves nothing. */
export function WorkerName({ id }: { readonly id: string }) {
  const name = accountOf(id)?.name
  return (
    <span class="worker-name" title={id}>
      {name !== undefined && <span class="chosen-name">{name}</span>}
      <code>{shortId(id)}</code>
      {node.value?.id === id && <span class="quiet">this node</span>}
    </span>
  )
}
