import { SettingsIcon } from '../../frame/icons.tsx'
import { settings } from './settings.ts'

const fields = [
  { name: 'maxTokens', label: 'Most tokens', placeholder: '512', min: 1, max: 32_768, step: 1 },
  { name: 'temperature', label: 'Temperature', placeholder: '0.6', min: 0, max: 2, step: 0.1 },
  { name: 'seed', label: 'Seed', placeholder: 'random', min: 0, max: 4_294_967_295, step: 1 },
] as const

/** What most people never need, out of the way. */
export function SettingsPanel() {
  return (
    <details
      class="settings"
      onKeyDown={(event) => {
        const { key, currentTarget } = event
        if (key !== 'Escape' || !currentTarget.open) return
        // It is not meant for the answer that is coming.
        event.stopPropagation()
        currentTarget.open = false
        currentTarget.querySelector('summary')?.focus()
      }}
      onFocusOut={({ relatedTarget, currentTarget }) => {
        if (relatedTarget instanceof Node && !currentTarget.contains(relatedTarget))
          currentTarget.open = false
      }}
    >
      <summary aria-label="Settings" title="Settings">
        <SettingsIcon />
      </summary>
      <div class="settings-panel">
        {fields.map(({ name, label, ...input }) => (
          <label key={name}>
            {label}
            <input
              type="number"
              inputmode="decimal"
              {...input}
              value={settings.value[name]}
              onInput={({ currentTarget: { value, validity } }) => {
                if (validity.valid) settings.value = { ...settings.value, [name]: value }
              }}
            />
          </label>
        ))}
        <p class="quiet">
          Empty means what the mesh takes by itself. The same seed and model say the same again.
        </p>
      </div>
    </details>
  )
}
