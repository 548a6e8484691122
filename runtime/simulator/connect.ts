import { limits } from '../../protocol/index.ts'
import type { SimNode } from './sim-node.ts'

/** Connections that a node leaves for those who look for one. */
const spare = 8

/** As many random connections as a node of the product holds, all of few. */
export function connect(nodes: readonly SimNode[], random: () => number): void {
  if (nodes.length - 1 <= limits.peersMax) {
    for (const node of nodes) for (const peer of nodes) if (peer !== node) node.links.add(peer.index)
    return
  }
  for (const node of nodes) {
    while (node.links.size < limits.peersMax - spare) {
      const peer = nodes[Math.floor(random() * nodes.length)]
      if (!peer || peer === node) continue
      if (peer.links.size >= limits.peersMax && !node.links.has(peer.index)) {
        // Whoever is full gives way to one who still looks, so that nobody searches for ever.
        const [first] = peer.links
        const other = first === undefined ? undefined : nodes[first]
        if (!other || other.links.size <= limits.peersMax / 2) continue
        peer.links.delete(other.index)
        other.links.delete(peer.index)
      }
      node.links.add(peer.index)
      peer.links.add(node.index)
    }
  }
}
