import type { LibraryModel, MeshModels } from '../../api/types.ts'
import { many, toCount, toParameters, toSize } from '../../ui/format.ts'
import { Pill } from '../../ui/pill.tsx'
import { PullStatus } from './pull-status.tsx'
import { pull, pulls } from './pulls.ts'

const states: Readonly<Record<string, string>> = {
  damaged: 'damaged: repair it on the command line',
  missing: 'its file is gone',
  changed: 'its file was changed',
}

interface RowProps {
  readonly model: LibraryModel
  readonly seed: MeshModels['seeds'][number] | undefined
  readonly canPull: boolean
}

/** A model of this machine, or one of the catalogs that can be fetched. */
export function LibraryRow({ model, seed, canPull }: RowProps) {
  const { id, name, kind, bytes, quantization, parameters, contextTokens, licence, standing, state } = model
  const facts = [
    ...(parameters === null ? [] : [`${toParameters(parameters)} parameters`]),
    quantization,
    ...(contextTokens === null ? [] : [`context ${toCount(contextTokens)}`]),
    ...(bytes === null ? [] : [toSize(bytes)]),
    ...(kind === 'chat' ? [] : [kind]),
    licence,
    standing,
  ]
  return (
    <li class="model-row">
      <div class="model-text">
        <span class="model-name">
          <strong>{name}</strong> <code>{id}</code>
        </span>
        <span class="quiet">{facts.join(' · ')}</span>
        {seed && (
          <span class="quiet">
            {seed.state === 'offering' ? 'offered to others' : seed.state}
            {seed.bytes > 0 ? `, ${toSize(seed.bytes)} given to ${many(seed.peers, 'peer')}` : ''}
          </span>
        )}
      </div>
      {state === 'sound' && <Pill tone="good">here</Pill>}
      {states[state] !== undefined && <Pill tone="bad">{states[state]}</Pill>}
      {state === 'absent' && canPull && !pulls.value.has(id) && (
        <button type="button" aria-label={`Fetch ${name}`} onClick={() => void pull(id)}>
          Fetch
        </button>
      )}
      <PullStatus name={id} />
    </li>
  )
}
