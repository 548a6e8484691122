import { computed } from '@preact/signals'
import { workers } from '../../mesh/feed.ts'
import { many } from '../../ui/format.ts'
import { settings } from './settings.ts'

/** The models that known workers hold and that answer, and by how many, by name. */
const models = computed(() => {
  const counts = new Map<string, number>()
  for (const worker of workers.value.values())
    for (const { id, embeddingSize } of worker.models)
      if (embeddingSize === undefined) counts.set(id, (counts.get(id) ?? 0) + 1)
  return [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1))
})

export function ModelChoice() {
  const { model } = settings.value
  const isKnown = model === 'auto' || models.value.some(([id]) => id === model)
  return (
    <select
      aria-label="Model"
      value={model}
      onChange={({ currentTarget: { value } }) => (settings.value = { ...settings.value, model: value })}
    >
      <option value="auto">Any model</option>
      {models.value.map(([id, count]) => (
        <option key={id} value={id}>
          {id} ({many(count, 'worker')})
        </option>
      ))}
      {!isKnown && <option value={model}>{model} (nobody holds it now)</option>}
    </select>
  )
}
