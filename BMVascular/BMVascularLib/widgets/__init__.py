"""Qt helpers shared by the panels (the only place in BMVascularLib that may import qt)."""
