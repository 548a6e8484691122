import { inferenceNetwork, toTopic } from '../protocol/index.ts'

/** Under what the nodes of a mesh find each other: 64 hex digits, the same for the same secret. It does not show the secret. */
export const toMeshTopic = (secret: string | undefined): string =>
  toTopic({ network: inferenceNetwork, secret }).toString('hex')
