import { computed } from '@preact/signals'
import { link, workers } from '../../mesh/feed.ts'
import { many } from '../../ui/format.ts'
import { ask } from './ask.ts'

const starters = ['What is QMesh?', 'How does a handover work?', 'Who are you?']

const crowd = computed(() => {
  // Those that make embeddings have nothing to say.
  const able = [...workers.value.values()]
    .map(({ models }) => models.filter(({ embeddingSize }) => embeddingSize === undefined))
    .filter((models) => models.length > 0)
  const names = new Set(able.flat().map(({ id }) => id))
  return { workers: able.length, models: names.size }
})

/** What there is to be said to, before anything was. */
export function Welcome() {
  const { workers: count, models } = crowd.value
  return (
    <div class="welcome">
      <h1>Ask the mesh</h1>
      <p class="quiet">
        {link.value !== 'live'
          ? 'Looking who is there…'
          : count === 0
            ? 'No worker with a model is known yet. A question waits a while for one to join.'
            : `${many(count, 'worker')} with ${many(models, 'model')} can answer now. If one goes away, another goes on.`}
      </p>
      <div class="starters">
        {starters.map((text) => (
          <button key={text} type="button" onClick={() => void ask(text)}>
            {text}
          </button>
        ))}
      </div>
    </div>
  )
}
