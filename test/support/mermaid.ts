import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate'

/** Mermaid's words must not contain its own punctuation. */
const toWord = (key: string): string => key.replaceAll(/[^A-Za-z0-9]/g, '_')

const toId = (node: AnyStateNode): string => node.path.map(toWord).join('__') || 'root'

const toEventName = (eventType: string): string =>
  eventType
    .replace(/^xstate\.after\.([^.]+)\..*$/, 'after $1')
    .replace(/^xstate\.done\.state\..*$/, 'done')
    .replace(/^xstate\.(done|error)\.actor\.(.*)$/, '$1($2)') || 'always'

function toGuardName(guard: unknown): string {
  if (guard === undefined) return ''
  if (typeof guard === 'string') return `[${guard}]`
  const { type, check, guards } = Object.assign(Object.create(null), guard) as {
    type?: string
    check?: { name: string }
    guards?: unknown[]
  }
  if (guards) return `[${toWord(check?.name ?? 'and')}]`
  if (typeof guard === 'function') return guard.name ? `[${guard.name}]` : '[guarded]'
  return type ? `[${type}]` : '[guarded]'
}

function transitionLines(transition: AnyTransitionDefinition, indent: string): string[] {
  const label = [toEventName(transition.eventType), toGuardName(transition.guard)].filter(Boolean).join(' ')
  const targets = transition.target?.length ? transition.target : undefined
  if (!targets) return []
  return targets.map(
    (target) => `${indent}${toId(transition.source)} --> ${toId(target)} : ${label.replaceAll(':', ' ')}`,
  )
}

function nodeLines(node: AnyStateNode, indent: string): string[] {
  const children = Object.values(node.states)
  const inner = `${indent}  `
  const lines: string[] = []
  for (const child of children) {
    if (Object.keys(child.states).length > 0) {
      lines.push(
        `${indent}state "${child.key}" as ${toId(child)} {`,
        ...nodeLines(child, inner),
        `${indent}}`,
      )
    } else lines.push(`${indent}state "${child.key}" as ${toId(child)}`)
  }
  if (node.type === 'compound') {
    const [initial] = node.initial.target
    if (initial) lines.push(`${indent}[*] --> ${toId(initial)}`)
  }
  for (const child of children) {
    const own = [...child.transitions.values()].flat()
    lines.push(
      ...[...own, ...(child.always ?? [])].flatMap((transition) => transitionLines(transition, indent)),
    )
    if (child.type === 'final') lines.push(`${indent}${toId(child)} --> [*]`)
  }
  return lines
}

/** A statechart as a Mermaid state diagram: states, and transitions with their event and guard. */
export function toMermaid(machine: AnyStateMachine): string {
  const seen = new Set<string>()
  const lines = nodeLines(machine.root, '  ').filter(
    (line) => !line.includes('-->') || (!seen.has(line) && seen.add(line)),
  )
  return ['stateDiagram-v2', ...lines].join('\n')
}
