package systemd

func playWorker() {}
