import type { ActorState, Store } from './store.ts'

/** A row of the tree. */
export interface TreeRow {
  readonly actor: ActorState
  readonly depth: number
  readonly hasChildren: boolean
  readonly isOpen: boolean
}

/**
 * The tree as rows, parents first.
 *
 * @param toggled rows that are not as they are by themselves: open while the actor lives, closed after
 * @param selected an actor that is shown, and those above it open
 * @param filter words of a name, a source or a state; with it, everything that matches is shown with those above it
 */
export function toRows(
  store: Store,
  toggled: ReadonlySet<string>,
  filter: string,
  selected?: string,
): readonly TreeRow[] {
  const above = new Set<string>()
  for (let id = selected; id !== undefined && !above.has(id);) {
    above.add(id)
    const known: ActorState | undefined = store.actors.get(id)
    id = known && store.parentOf(known)
  }
  const children = new Map<string, ActorState[]>()
  const roots: ActorState[] = []
  for (const actor of store.actors.values()) {
    const parent = store.parentOf(actor)
    if (parent === undefined) roots.push(actor)
    else if (store.actors.has(parent)) {
      const siblings = children.get(parent)
      if (siblings) siblings.push(actor)
      else children.set(parent, [actor])
    }
  }
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
  const isWanted = ({ view, value, status }: ActorState): boolean => {
    const text =
      `${view.name} ${view.systemId ?? ''} ${view.source} ${view.id} ${status} ${JSON.stringify(value ?? '')}`.toLowerCase()
    return words.every((word) => text.includes(word))
  }
  const rows: TreeRow[] = []
  const visit = (actor: ActorState, depth: number): boolean => {
    const below = children.get(actor.id) ?? []
    const isOpen =
      words.length > 0 || (actor.status === 'active' || above.has(actor.id)) !== toggled.has(actor.id)
    const place = rows.length
    rows.push({ actor, depth, hasChildren: below.length > 0, isOpen })
    let hasWanted = false
    if (isOpen) for (const child of below) hasWanted = visit(child, depth + 1) || hasWanted
    if (words.length === 0 || hasWanted || isWanted(actor)) return true
    rows.splice(place)
    return false
  }
  for (const root of roots) visit(root, 0)
  return rows
}

/** An actor and everyone below it. */
export function withDescendants(store: Store, id: string): ReadonlySet<string> {
  const ids = new Set([id])
  let size: number
  do {
    size = ids.size
    for (const actor of store.actors.values()) {
      const parent = store.parentOf(actor)
      if (parent !== undefined && ids.has(parent)) ids.add(actor.id)
    }
  } while (ids.size > size)
  return ids
}
