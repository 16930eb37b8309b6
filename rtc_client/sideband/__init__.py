"""Shell over websockets: joins a call's sideband, keeps it alive, rejoins it; texts in, texts out."""
