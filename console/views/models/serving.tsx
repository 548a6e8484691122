import type { MeshModels, NodeModel } from '../../api/types.ts'
import { Empty } from '../../ui/empty.tsx'
import { many, toCount } from '../../ui/format.ts'
import { Pill, type Tone } from '../../ui/pill.tsx'

const states: Readonly<Record<string, readonly [Tone, string]>> = {
  ready: ['good', 'ready'],
  loading: ['busy', 'loading'],
  recovering: ['warn', 'recovering'],
  unloading: ['warn', 'making room'],
  loadable: ['idle', 'loaded when asked for'],
  failed: ['bad', 'failed'],
}

/** What this node has in memory, or would load for a request. */
export function ServingHere({ models }: { readonly models: readonly NodeModel[] }) {
  if (models.length === 0) {
    return (
      <Empty title="This node serves nothing">
        It asks others only. <code>qmesh-node up --model …</code> serves one.
      </Empty>
    )
  }
  return (
    <ul class="rows">
      {models.map(({ id, state, contextTokens, slots, backend, memoryMb, embeddingSize, error }) => {
        const [tone, text] = states[state] ?? ['idle', state]
        const facts = [
          ...(embeddingSize === undefined ? [] : [`embeddings of ${embeddingSize} numbers`]),
          ...(slots === undefined ? [] : [many(slots, 'slot')]),
          ...(contextTokens === undefined ? [] : [`context ${toCount(contextTokens)}`]),
          ...(backend === undefined ? [] : [backend]),
          ...(memoryMb === undefined ? [] : [`${toCount(memoryMb)} MB`]),
          ...(error ? [error.message] : []),
        ]
        return (
          <li key={id}>
            <strong>{id}</strong>
            <span class="quiet">{facts.join(' · ')}</span>
            <Pill tone={tone}>{text}</Pill>
          </li>
        )
      })}
    </ul>
  )
}

/** What known workers hold: what a question can be answered with now, and what makes embeddings. */
export function ServedByMesh({ models }: { readonly models: MeshModels['mesh'] }) {
  if (models.length === 0) return <Empty title="No worker with a model is known" />
  return (
    <ul class="rows">
      {models.map(({ id, contextTokens, workers, embeddingSize }) => (
        <li key={`${id} ${embeddingSize ?? 0}`}>
          <strong>{id}</strong>
          <span class="quiet">
            {embeddingSize !== undefined && `embeddings of ${embeddingSize} numbers · `}context{' '}
            {toCount(contextTokens)}
          </span>
          <span>{many(workers, 'worker')}</span>
        </li>
      ))}
    </ul>
  )
}
