import type { SafeObject, SafeValue } from '../../../protocol/inspection.ts'
import { countOf } from './format.ts'

const isObject = (value: SafeValue): value is SafeObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isShort = (value: SafeValue): boolean =>
  typeof value !== 'object' || value === null || (JSON.stringify(value).length <= 36 && !hasObject(value))

const hasObject = (value: SafeValue): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).some((inner) => typeof inner === 'object' && inner !== null)

interface FieldsProps {
  readonly value: SafeValue | undefined
  /** What it was before: fields that differ are marked. */
  readonly before?: SafeValue | undefined
  readonly empty: string
}

/** A value in safe form, a line for each field. */
export function Fields({ value, before, empty }: FieldsProps) {
  if (value === undefined || (isObject(value) && Object.keys(value).length === 0))
    return <p class="mx-note">{empty}</p>
  if (!isObject(value)) return <Value value={value} />
  const earlier = before !== undefined && isObject(before) ? before : undefined
  return (
    <dl class="mx-fields">
      {Object.entries(value).map(([name, inner]) => {
        const isChanged = earlier !== undefined && JSON.stringify(earlier[name]) !== JSON.stringify(inner)
        return (
          <div
            key={name}
            class={isChanged ? 'mx-changed' : ''}
            {...(isChanged && { title: 'Changed by this event' })}
          >
            <dt>{name}</dt>
            <dd>
              <Value value={inner} />
            </dd>
          </div>
        )
      })}
    </dl>
  )
}

function Value({ value }: { readonly value: SafeValue }) {
  if (isShort(value)) return <code class={classOf(value)}>{inLine(value)}</code>
  const entries = Object.entries(value as SafeObject)
  const count = countOf(entries)
  const words = Array.isArray(value) ? ['entry', 'entries'] : ['field', 'fields']
  return (
    <details>
      <summary>{`${count} ${words[count === 1 ? 0 : 1]}`}</summary>
      <dl class="mx-fields">
        {entries.map(([name, inner]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <Value value={inner} />
            </dd>
          </div>
        ))}
      </dl>
    </details>
  )
}

function inLine(value: SafeValue): string {
  if (typeof value === 'string') return value === '' ? '(empty)' : value
  if (Array.isArray(value)) return value.length === 0 ? '(none)' : value.map(inLine).join(', ')
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).map(([name, inner]) => `${name}: ${inLine(inner)}`)
    return fields.length === 0 ? '(empty)' : fields.join(', ')
  }
  return String(value)
}

/** Words of ours about what was left out look different from words of the program. */
const classOf = (value: SafeValue): string =>
  typeof value === 'number' || typeof value === 'boolean'
    ? 'mx-number'
    : value === null || (typeof value === 'string' && value.includes(' '))
      ? 'mx-left-out'
      : ''
