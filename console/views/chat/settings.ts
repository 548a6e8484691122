import { effect, signal } from '@preact/signals'

export interface ChatSettings {
  /** `auto`: whatever the mesh chooses. */
  readonly model: string
  /** Empty: what the mesh takes by itself. */
  readonly maxTokens: string
  readonly temperature: string
  readonly seed: string
}

const storageName = 'qmesh.chat-settings'
const initial: ChatSettings = { model: 'auto', maxTokens: '', temperature: '', seed: '' }

function restore(): ChatSettings {
  try {
    return { ...initial, ...(JSON.parse(sessionStorage.getItem(storageName) ?? '{}') as object) }
  } catch {
    return initial
  }
}

export const settings = signal(restore())
effect(() => sessionStorage.setItem(storageName, JSON.stringify(settings.value)))

const toNumber = (text: string): number | undefined => (text.trim() === '' ? undefined : Number(text))

/** As the API names them; what is left empty is left out. */
export function toParameters({ model, maxTokens, temperature, seed }: ChatSettings): object {
  return {
    model,
    max_tokens: toNumber(maxTokens),
    temperature: toNumber(temperature),
    seed: toNumber(seed),
  }
}
